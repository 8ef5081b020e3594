"""Commands about specs, none of which needs a stack."""
