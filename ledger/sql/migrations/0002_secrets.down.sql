-- Loses nothing that is not made anew: links signed with these secrets live for minutes.
DROP TABLE secrets;
