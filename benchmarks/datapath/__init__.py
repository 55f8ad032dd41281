"""How fast a mount is read, beside other mounts of the same data: ``make bench``.

`trees` says what is read, `subjects` who shows it, `cells` what is measured of it, `jobs` is the
program that reads. `runner` lets the subjects take turns; `results` keeps every sample, `table`
and `plots` show them.
"""
