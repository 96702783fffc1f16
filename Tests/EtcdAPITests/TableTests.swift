import Testing

@testable import EtcdAPI

@Suite struct TableTests {
    private func table(_ code: (EtcdError) -> StatusCode, _ errors: [EtcdError]) -> Set<[String]> {
        Set(errors.map { [code($0).name, $0.message] })
    }

    /// What etcd 3.7.1 and 3.5.33 declare in api/v3rpc/rpctypes/error.go.
    @Test func errorsAreEtcds() {
        let own: [EtcdError] = [.rangeStreamSortOrder, .rangeStreamRevisionFilter]
        // Declared with another code than the one that reaches clients.
        let misdeclared: Set<[String]> = [
            ["FailedPrecondition", "etcdserver: re-configuration failed due to not enough started members"],
            ["ResourceExhausted", "etcdserver: too many requests"],
        ]
        let onTheWire: Set<[String]> = Set(misdeclared.map { ["Unknown", $0[1]] })
        let declared = Set(fixture("etcd-3.7.1-errors.txt", separator: "\t"))
        #expect(declared.count == 63)
        #expect(
            table(\.code, EtcdError.allCases.filter { !own.contains($0) }) == declared.subtracting(misdeclared).union(onTheWire))

        let before = Set(fixture("etcd-3.5.33-errors.txt", separator: "\t"))
        let since36: [EtcdError] = [.invalidClientAPIVersion, .invalidSortOption]
        let then = EtcdError.allCases.filter { !own.contains($0) && !since36.contains($0) }
        #expect(table(\.codeBefore36, then) == before.subtracting(misdeclared).union(onTheWire))
    }

    @Test func proceduresAreEtcds() {
        let health = [
            ["/grpc.health.v1.Health/Check", "unary"], ["/grpc.health.v1.Health/List", "unary"],
            ["/grpc.health.v1.Health/Watch", "server_stream"],
        ]
        let expected = fixture("etcd-3.7.1-procedures.txt", separator: "\t") + health
        #expect(expected.count == 52)
        #expect(Set(Procedure.allCases.map { [$0.path, $0.kind.rawValue] }) == Set(expected))
    }

    @Test func servicesFollowTheRawValues() {
        let paths = Procedure.services.flatMap { service in service.methods.map { "/\(service.service)/\($0)" } }
        #expect(paths == Procedure.allCases.map(\.path))
        #expect(Procedure.allCases.map(\.rawValue) == Array(0..<52))
        #expect(Procedure.lockUnlock.path == "/v3lockpb.Lock/Unlock")
    }

    @Test func codesAreGRPCs() {
        #expect(StatusCode.allCases.map(\.rawValue) == Array(0...16))
        #expect(StatusCode.internalError.name == "Internal")
        #expect(Set(StatusCode.allCases.map(\.name)).count == 17)
    }
}
