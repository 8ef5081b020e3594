"""The use cases; `parts` holds what they are made of. Collaborators are passed in."""
