"""HashiCorp memberlist in virtual time: the baseline that our protocol is compared with.

Its failure detector and gossip after state.go, suspicion.go, awareness.go, queue.go and util.go,
with the LAN defaults: SWIM (Das, Gupta, Motivala 2002) with the three parts of Lifeguard
(Dadgar, Phillips, Currey 2018), each of which can be left out. A test pins its medians to those
measured with real serf (30 to 90 kills per size).

Simplifications: everybody knows everybody at the start; message sizes are rounded msgpack sizes;
push/pull is instant and free of loss; handling costs nothing; no joins and no leaves.
"""
