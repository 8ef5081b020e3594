"""What stands in for AWS and for Magic Hour when dropscale runs on one machine; never shipped."""
