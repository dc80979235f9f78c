-- Indexes for what is asked often, and pins that come back, version 9.

-- What blobs in files of their own take on the disk, those that are given up included:
-- every writer under a quota adds it up now and then. What is in packs, or absent, is
-- not in it.
CREATE INDEX objects_loose ON objects (stored, pack) WHERE pack IS NULL AND stored > 0;

-- Which changes that can be undone took a name away from an object.
CREATE INDEX ref_log_old ON ref_log (old, at) WHERE keeps = 1 AND old IS NOT NULL;

-- 1: the name went by this change, and was pinned: who undoes it pins it again. A rebuild
-- begins without these.
ALTER TABLE ref_log ADD COLUMN unpinned INTEGER NOT NULL DEFAULT 0;
