"""The protocol in virtual time: a network for the real core, with a real codec and no sockets."""
