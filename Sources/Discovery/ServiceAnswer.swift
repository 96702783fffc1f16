/// Why an answer is not one.
public struct MalformedAnswer: Error, Equatable, Sendable {
    /// Byte of the message at which it stops making sense.
    public let offset: Int
}

/// Reads the SRV records of a DNS message (RFC 1035, section 4), which comes from the network and may hold anything.
public struct ServiceAnswer: Sendable {
    private static let service: UInt16 = 33
    private static let internet: UInt16 = 1
    private static let headerLength = 12
    /// As much as a name may have, its lengths included.
    private static let longestName = 255

    private let bytes: [UInt8]
    private var offset = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The SRV records among the answers, as they come. Records of other types are passed over, and so are targets that no host can
    /// have for its name: the root among them, which says that there is no such service.
    public static func records(in message: [UInt8]) throws(MalformedAnswer) -> [ServiceRecord] {
        var answer = ServiceAnswer(message)
        return try answer.read()
    }

    private mutating func read() throws(MalformedAnswer) -> [ServiceRecord] {
        _ = try take(4)
        let questions = try number()
        let answers = try number()
        offset = Self.headerLength
        if bytes.count < offset { throw problem }
        for _ in 0..<questions {
            _ = try name()
            _ = try take(4)
        }
        var records: [ServiceRecord] = []
        for _ in 0..<answers {
            if let record = try record() { records.append(record) }
        }
        return records
    }

    private mutating func record() throws(MalformedAnswer) -> ServiceRecord? {
        _ = try name()
        let type = try number()
        let family = try number()
        _ = try take(4)
        let end = try Int(number()) + offset
        guard end <= bytes.count else { throw problem }
        defer { offset = end }
        guard type == Self.service, family == Self.internet else { return nil }
        let priority = try number()
        let weight = try number()
        let port = try number()
        let target = try name()
        guard offset == end else { throw problem }
        guard Self.isHostName(target) else { return nil }
        return ServiceRecord(
            priority: priority, weight: weight, port: port, target: String(decoding: target, as: UTF8.self))
    }

    /// A name's labels with dots between them. Where it goes on elsewhere in the message, that place is before the one that says so,
    /// and so on: there is no going round in circles.
    private mutating func name() throws(MalformedAnswer) -> [UInt8] {
        var name: [UInt8] = []
        var place = offset
        var limit = bytes.count
        var jumped = false
        while true {
            guard place < limit else { throw problem }
            let length = Int(bytes[place])
            switch length >> 6 {
            case 0:
                guard place + 1 + length <= limit, name.count + length < Self.longestName else { throw problem }
                if !jumped { offset = place + 1 + length }
                guard length > 0 else { return name }
                if !name.isEmpty { name.append(UInt8(ascii: ".")) }
                name += bytes[(place + 1)...(place + length)]
                place += 1 + length
            case 3:
                guard place + 1 < limit else { throw problem }
                if !jumped { offset = place + 2 }
                limit = place
                place = (length & 0x3f) << 8 | Int(bytes[place + 1])
                jumped = true
            default: throw problem
            }
        }
    }

    private static func isHostName(_ name: [UInt8]) -> Bool {
        !name.isEmpty
            && name.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }

    private mutating func number() throws(MalformedAnswer) -> UInt16 {
        let pair = try take(2)
        return UInt16(pair[pair.startIndex]) << 8 | UInt16(pair[pair.startIndex + 1])
    }

    private mutating func take(_ count: Int) throws(MalformedAnswer) -> ArraySlice<UInt8> {
        guard bytes.count - offset >= count else { throw problem }
        defer { offset += count }
        return bytes[offset..<(offset + count)]
    }

    private var problem: MalformedAnswer { MalformedAnswer(offset: offset) }
}
