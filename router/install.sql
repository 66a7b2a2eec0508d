-- The extension sparkify_router is installed from these, in this order.

-- include router/calls.sql
-- include router/tracks.sql
-- include router/making.sql
-- include router/access.sql
