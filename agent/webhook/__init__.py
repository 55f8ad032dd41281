"""The admission webhook: pods that ask for a dataset get a FUSE sidecar.

`asks` reads from a pod which datasets it wants; `inject` rewrites the pod, with the containers that
`sidecar` makes; `review` is Kubernetes' envelope around it, `server` its HTTPS. All but the server
is pure: a pod goes in, a pod comes out.
"""
