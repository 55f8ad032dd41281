"""What the figures are taken from: one experiment each, for our protocol and, where its model can
do it, for memberlist under the same seeds. Nothing is averaged here.
"""
