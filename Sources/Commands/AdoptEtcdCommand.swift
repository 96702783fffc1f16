import Configuration
import Glibc
import LinuxHost
import PageStore

/// `quorate adopt-etcd [--all-members-stopped] [--root DIR]`: lets `quorate-member.service` go on with the data, the settings and the
/// user of Debian's `etcd-server`, which must be stopped. It writes two files, starts nothing, and touches no data.
enum AdoptEtcdCommand {
    private static let usage = "usage: quorate adopt-etcd [--all-members-stopped] [--root DIR]\n"
    static let unitDirectory = "/etc/systemd/system/quorate-member.service.d"

    static func run(_ arguments: [String]) -> Int32 {
        var areAllStopped = false
        var root = ""
        var words = arguments[...]
        while let word = words.popFirst() {
            switch word {
            case "--all-members-stopped": areAllStopped = true
            case "--root":
                guard let folder = words.popFirst() else { return fail(usage, 2) }
                root = folder
            default: return fail(usage, 2)
            }
        }
        switch findEtcd(root) {
        case .failure(let problem): return fail("quorate: \(problem.reason)\n", 1)
        case .success(let found):
            if let refusal = found.refusal(areAllStopped: areAllStopped) { return fail(refusal, 1) }
            return write(found, root)
        }
    }

    struct Problem: Error { let reason: String }

    // MARK: what is there

    private static func findEtcd(_ root: String) -> Result<FoundEtcd, Problem> {
        let hostName = SmallFile.read(root + "/etc/hostname")?.split(separator: "\n").first.map(String.init) ?? "default"
        // What Debian's unit sets before it reads the file.
        var variables = ["ETCD_NAME": hostName, "ETCD_DATA_DIR": "/var/lib/etcd/default"]
        let file = SmallFile.read(root + "/etc/default/etcd").map { EnvironmentFile($0) }
        variables.merge(file?.variables ?? [:]) { _, given in given }
        let flags = file?.words("DAEMON_ARGS") ?? []
        variables["DAEMON_ARGS"] = nil
        var inputs = ConfigurationInputs.system(arguments: flags)
        inputs.environment = variables
        let configuration: MemberConfiguration
        do throws(ConfigurationError) {
            guard case .run(let read, _) = try readMemberConfiguration(inputs, version: BuildVersion(version: "", revision: ""))
            else {
                return .failure(
                    Problem(reason: "etcd's DAEMON_ARGS ask for something else than a member: \(flags.joined(separator: " "))"))
            }
            configuration = read
        } catch {
            return .failure(Problem(reason: "etcd's settings cannot be taken over: \(error.message)"))
        }
        let path = configuration.dataDirectory
        guard path.hasPrefix("/") else {
            return .failure(Problem(reason: "etcd's data directory \(path) is not an absolute path"))
        }
        guard access(root + path + "/member/snap/db", F_OK) == 0 else {
            return .failure(Problem(reason: "there is no data of an etcd member in \(path)"))
        }
        var status = stat()
        guard stat(root + path + "/member", &status) == 0 else {
            return .failure(Problem(reason: "\(path): \(String(cString: strerror(errno)))"))
        }
        return cluster(root + path + "/member/snap/db").map { cluster in
            FoundEtcd(
                variables: variables, flags: flags, dataDirectory: path, walDirectory: configuration.walDirectory,
                user: userName(status.st_uid) ?? "\(status.st_uid)", group: groupName(status.st_gid) ?? "\(status.st_gid)",
                clusterVersion: cluster.version, members: cluster.members)
        }
    }

    private static func cluster(_ path: String) -> Result<(version: String, members: Int), Problem> {
        do throws(PageFileError) {
            var options = PageFileOptions()
            options.isReadOnly = true
            let pages = try PageFile.open(disk: LinuxDisk(), path: path, options: options).beginRead()
            let version = try pages.bucket(Array("cluster".utf8))?.value(Array("clusterVersion".utf8))
            var members = 0
            if var cursor = try pages.bucket(Array("members".utf8))?.cursor() {
                var isValid = try cursor.first()
                while isValid {
                    members += 1
                    isValid = try cursor.next()
                }
            }
            return .success((version.map { String(decoding: $0, as: UTF8.self) } ?? "", members))
        } catch {
            guard error.reason == .lockedByAnotherProcess else { return .failure(Problem(reason: "\(error)")) }
            return .failure(Problem(reason: "etcd still runs on this data: systemctl disable --now etcd"))
        }
    }

    private static func userName(_ id: uid_t) -> String? { getpwuid(id).flatMap { String(cString: $0.pointee.pw_name) } }
    private static func groupName(_ id: gid_t) -> String? { getgrgid(id).flatMap { String(cString: $0.pointee.gr_name) } }

    // MARK: what is written

    private static func write(_ found: FoundEtcd, _ root: String) -> Int32 {
        let settings = "/etc/default/quorate-member"
        if let old = SmallFile.read(root + settings), let problem = SmallFile.write(old, to: root + settings + ".before-adoption")
        {
            return fail("quorate: \(problem)\n", 1)
        }
        for (path, text) in [(settings, found.environmentFile), (unitDirectory + "/adopted-etcd.conf", found.dropIn)] {
            if let problem = SmallFile.write(text, to: root + path) { return fail("quorate: \(problem)\n", 1) }
            print("wrote \(path)")
        }
        print(
            """

            \(found.dataDirectory) (cluster version \(found.clusterVersion), \(found.members) member\(found.members == 1 ? "" : "s")) \
            goes on under quorate-member.service, as user \(found.user):

              systemctl disable --now etcd
              systemctl daemon-reload
              systemctl enable --now quorate-member

            The way back: systemctl disable --now quorate-member, then start etcd again.
            """)
        return 0
    }
}

/// An etcd as Debian's package runs it.
struct FoundEtcd: Equatable {
    /// `ETCD_*` and whatever else its environment file sets.
    var variables: [String: String]
    var flags: [String]
    var dataDirectory: String
    var walDirectory: String
    var user: String
    var group: String
    /// As stored, `3.4.0`; empty before the first leader has set it.
    var clusterVersion: String
    var members: Int

    /// Why it is not taken over as it stands, and what to do instead.
    func refusal(areAllStopped: Bool) -> String? {
        let parts = clusterVersion.split(separator: ".").compactMap { Int($0) }
        guard parts.count >= 2 else { return nil }
        if parts[0] < 3 || parts[1] < 4 {
            return "quorate: the cluster is at version \(clusterVersion); upgrade it to 3.4 or later first\n"
        }
        guard parts[1] == 4, members > 1, !areAllStopped else { return nil }
        return """
            quorate: this member belongs to a cluster of \(members) at version \(clusterVersion). Members of etcd 3.4 and of Quorate do not
            work together, so their members cannot be swapped one by one. Do one of these:

            With a short stop:
              1. on every host:  systemctl disable --now etcd
              2. on every host:  quorate adopt-etcd --all-members-stopped
              3. on every host:  systemctl daemon-reload && systemctl enable --now quorate-member

            Without a stop: upgrade the cluster to etcd 3.5, one member after another; then swap the members one by one.

            """
    }

    /// `/etc/default/quorate-member`.
    var environmentFile: String {
        var text = "# Taken over from /etc/default/etcd by quorate adopt-etcd.\n"
        for (name, value) in variables.sorted(by: { $0.key < $1.key }) { text += "\(name)=\"\(value)\"\n" }
        return text + "DAEMON_ARGS=\"\(flags.joined(separator: " "))\"\n"
    }

    /// What the unit needs to reach etcd's data as etcd's user.
    var dropIn: String {
        let places = [dataDirectory] + (walDirectory.isEmpty ? [] : [walDirectory])
        return """
            # Written by quorate adopt-etcd.
            [Unit]
            Conflicts=etcd.service

            [Service]
            User=\(user)
            Group=\(group)
            StateDirectory=
            ReadWritePaths=\(places.joined(separator: " "))

            """
    }
}
