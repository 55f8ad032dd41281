"""What costs grow with: agents, files, members: ``make bench-growth``.

`agents` has a dataset read by 1 to 16 agents, each behind a link of its own; `files` lists,
mounts and walks 1 thousand to 1 million; `placement` ranks among 1 to 10,000 members. `plots`
draws the curves.
"""
