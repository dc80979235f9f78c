-- What is in layers, version 11.

-- The index of a layer's members, made when somebody first looks into it, and made again
-- where it is gone. It goes with the object.
CREATE TABLE layer_indexes (
  object INTEGER PRIMARY KEY,  -- objects.id
  data   BLOB NOT NULL         -- layer.Index.Encode
) STRICT;
