import CResolver
import Glibc

/// The resolver of the C library, with the servers, search list and limits of `/etc/resolv.conf`.
public struct SystemNameService: NameService {
    private static let serviceRecords: Int32 = 33
    /// As long as an answer over TCP can be.
    private static let longestAnswer = 65_535

    public init() {}

    public func records(of name: String) throws(LookupProblem) -> [ServiceRecord] {
        var answer = [UInt8](repeating: 0, count: Self.longestAnswer)
        var reason: Int32 = 0
        let length = cresolver_search(name, Self.serviceRecords, &answer, Int32(answer.count), &reason)
        guard length >= 0 else {
            throw LookupProblem(
                "lookup \(name): \(Self.text(reason))", isAbsence: reason == HOST_NOT_FOUND || reason == NO_DATA)
        }
        answer.removeLast(answer.count - min(answer.count, Int(length)))
        let records: [ServiceRecord]
        do throws(MalformedAnswer) {
            records = try ServiceAnswer.records(in: answer)
        } catch {
            throw LookupProblem("lookup \(name): the answer makes no sense at byte \(error.offset)", isAbsence: false)
        }
        guard !records.isEmpty else { throw LookupProblem("lookup \(name): no such host", isAbsence: true) }
        return records
    }

    /// In Go's words where it has some.
    private static func text(_ reason: Int32) -> String {
        switch reason {
        case HOST_NOT_FOUND, NO_DATA: "no such host"
        case TRY_AGAIN: "no answer from a name server, or a failure that may pass"
        case NO_RECOVERY: "server misbehaving"
        default: "the resolver failed (\(reason))"
        }
    }

    public func address(of host: String) throws(LookupProblem) -> String {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else {
            throw LookupProblem("lookup \(host): \(String(cString: gai_strerror(code)))", isAbsence: code == EAI_NONAME)
        }
        defer { freeaddrinfo(list) }
        // The list and what it points to live until freeaddrinfo.
        var found: [(family: Int32, text: String)] = []
        var entry = list
        while let one = entry?.pointee {
            entry = one.ai_next
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let failed = getnameinfo(one.ai_addr, one.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            if failed == 0 {
                found.append(
                    (one.ai_family, String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)))
            }
        }
        guard let best = found.first(where: { $0.family == AF_INET }) ?? found.first else {
            throw LookupProblem("lookup \(host): no such host", isAbsence: true)
        }
        return best.text
    }
}
