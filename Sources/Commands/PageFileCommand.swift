import Glibc
import Host
import LinuxHost
import PageStore

/// `quorate pagefile check|pages|stats|dump FILE [PAGE]`: looks at a page file that nobody else has open.
enum PageFileCommand {
    private static let usage = "usage: quorate pagefile check FILE | pages FILE | stats FILE | dump FILE PAGE\n"

    /// With the command itself, how many words each takes.
    private static let words = ["check": 2, "pages": 2, "stats": 2, "dump": 3]

    static func run(_ arguments: [String]) -> Int32 {
        guard let wanted = arguments.first.flatMap({ words[$0] }), arguments.count == wanted else { return fail(usage, 2) }
        do throws(PageFileError) {
            var options = PageFileOptions()
            options.isReadOnly = true
            let transaction = try PageFile.open(disk: LinuxDisk(), path: arguments[1], options: options).beginRead()
            switch arguments[0] {
            case "check":
                let report = try transaction.check()
                print(report)
                return report.isSound ? 0 : 1
            case "pages":
                print(PageList.heading)
                var pages = try PageList(transaction)
                while let page = try pages.nextPage() { print(page) }
            case "stats": for bucket in try transaction.statistics() { print(bucket) }
            default:
                guard let page = PageID(arguments[2]) else { return fail("quorate: \"\(arguments[2])\" is no page number\n", 2) }
                print(try transaction.dump(page: page))
            }
            return 0
        } catch {
            return fail("quorate: \(error)\n", 1)
        }
    }
}
