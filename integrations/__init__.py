"""What other packages find tercet by: entry points that they look up."""
