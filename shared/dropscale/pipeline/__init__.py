"""The use cases; `parts` has the steps they share. Collaborators are passed in."""
