"""What the service keeps: decisions and outcomes on disk, customers as published."""
