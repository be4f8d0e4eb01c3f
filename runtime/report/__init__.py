"""What people read: inspections, tables, pages, progress."""
