"""The use cases: submit, check, deliver, fail, sweep. Collaborators are passed in."""
