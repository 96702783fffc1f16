import Bytes
import Testing

@testable import EtcdAPI

/// Messages that protobuf's own encoder wrote: name, bytes, fields.
@Suite struct GoldenTests {
    @Test func messagesDecodeToTheirFieldsAndEncodeToTheSameBytes() throws {
        let rows = fixture("messages.txt")
        #expect(rows.count > 300)
        #expect(Set(rows.map(\.[0])) == Set(messageTypes.keys))
        for row in rows {
            let type = try #require(messageTypes[row[0]], "\(row[0])")
            let message = try type.init(decoding: unhex(row[1]))
            #expect(describe(message) == row[2], "\(row[0]) \(row[1])")
            #expect(hex(message.encoded()) == row[1], "\(row[0]) \(row[2])")
        }
    }

    @Test func mapOfHealth() throws {
        // {"": SERVING, "a": UNKNOWN} as Go writes it: an entry carries its value even when that is empty.
        let bytes = unhex("x0a060a0012020801" + "0a050a01611200")
        let response = try HealthListResponse(decoding: bytes)
        let expected = HealthListResponse(statuses: [
            .init(service: "", response: HealthCheckResponse(status: .serving)),
            .init(service: "a", response: HealthCheckResponse(status: .unknown)),
        ])
        #expect(response == expected)
        #expect(response.encoded() == bytes)
    }
}
