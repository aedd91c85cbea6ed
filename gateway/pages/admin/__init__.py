"""The admin's pages, at `/admin/` on the admin listener."""
