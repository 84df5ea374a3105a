"""What makes it so: pure plans and dull acts."""
