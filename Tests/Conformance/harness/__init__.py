"""What the conformance tests stand on: real etcd releases, daemons as processes, a plain gRPC client, comparison."""
