-- lossy: what open holds have used of quotas; they keep it when Redis loses its data.
DROP TABLE hold_uses;
