-- Taken by another branch; goes when it is merged.
SELECT;
