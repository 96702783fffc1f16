import Glibc
import Host
import LinuxHost
import PageStore

/// `quorate pagefile check|pages|stats|dump FILE [PAGE]`: looks at a page file that nobody else has open.
enum PageFileCommand {
    private static let usage = "usage: quorate pagefile check FILE | pages FILE | stats FILE | dump FILE PAGE\n"

    static func run(_ arguments: [String]) -> Int32 {
        guard arguments.count >= 2 else { return fail(usage, 2) }
        do throws(PageFileError) {
            var options = PageFileOptions()
            options.isReadOnly = true
            let transaction = try PageFile.open(disk: LinuxDisk(), path: arguments[1], options: options).beginRead()
            switch (arguments[0], arguments.count) {
            case ("check", 2):
                let report = try transaction.check()
                print(report)
                return report.isSound ? 0 : 1
            case ("pages", 2):
                print(PageList.heading)
                var pages = try PageList(transaction)
                while let page = try pages.nextPage() { print(page) }
            case ("stats", 2): for bucket in try transaction.statistics() { print(bucket) }
            case ("dump", 3):
                guard let page = PageID(arguments[2]) else { return fail("quorate: \"\(arguments[2])\" is no page number\n", 2) }
                print(try transaction.dump(page: page))
            default: return fail(usage, 2)
            }
            return 0
        } catch {
            return fail("quorate: \(error)\n", 1)
        }
    }
}
