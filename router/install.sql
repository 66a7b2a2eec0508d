-- The extension sparkify_router is installed from these, in this order.

-- include router/calls.sql
-- include sql/help.sql
-- As all calls here: what this router adds to the comment in the trainer.
COMMENT ON FUNCTION sparkify.help(text) IS 'what it has.';
-- include router/tracks.sql
-- include router/making.sql
-- include router/access.sql
