import Testing

@testable import Commands

@Test func environmentFilesAreReadAsSystemdReadsThem() {
    let file = EnvironmentFile(
        """
        # ETCD_NAME=comment
        ; ETCD_NAME=comment
        ETCD_NAME = "first"
          ETCD_DATA_DIR='/srv/etcd data'
        ETCD_NAME=second
        nonsense
        EMPTY=
        DAEMON_ARGS="--log-level  debug"
        """)
    #expect(
        file.variables == [
            "ETCD_NAME": "second", "ETCD_DATA_DIR": "/srv/etcd data", "EMPTY": "", "DAEMON_ARGS": "--log-level  debug",
        ])
    #expect(file.words("DAEMON_ARGS") == ["--log-level", "debug"] && file.words("ETCD") == [])
}

private let found = FoundEtcd(
    variables: ["ETCD_NAME": "s1", "ETCD_DATA_DIR": "/srv/etcd"], flags: ["--log-level", "debug"], dataDirectory: "/srv/etcd",
    walDirectory: "/wal", user: "etcd", group: "etcd", clusterVersion: "3.4.0", members: 1)

@Test func onlyARollingSwapFrom34IsRefused() {
    var etcd = found
    #expect(etcd.refusal(areAllStopped: false) == nil)
    etcd.members = 3
    let refusal = etcd.refusal(areAllStopped: false)
    #expect(refusal?.contains("quorate adopt-etcd --all-members-stopped") == true)
    #expect(etcd.refusal(areAllStopped: true) == nil)
    etcd.clusterVersion = "3.5.0"
    #expect(etcd.refusal(areAllStopped: false) == nil)
    etcd.clusterVersion = ""
    #expect(etcd.refusal(areAllStopped: false) == nil)
    etcd.clusterVersion = "3.3.0"
    #expect(etcd.refusal(areAllStopped: true)?.contains("upgrade it to 3.4") == true)
}

@Test func anAdoptedEtcdKeepsItsSettingsAndUser() {
    #expect(
        EnvironmentFile(found.environmentFile).variables == [
            "ETCD_NAME": "s1", "ETCD_DATA_DIR": "/srv/etcd", "DAEMON_ARGS": "--log-level debug",
        ])
    for line in ["User=etcd", "StateDirectory=", "ReadWritePaths=/srv/etcd /wal", "Conflicts=etcd.service"] {
        #expect(found.dropIn.split(separator: "\n").contains { $0 == line }, "\(line)")
    }
}

@Test func figuresComeFromThePage() {
    let member = """
        # TYPE etcd_server_is_leader gauge
        etcd_server_is_leader 1
        etcd_server_has_leader 1
        quorate_server_term 3
        etcd_debugging_mvcc_current_revision 7
        etcd_mvcc_db_total_size_in_bytes 2.62144e+06
        etcd_server_quota_backend_bytes 2147483648
        quorate_server_members 3
        quorate_server_members_up 2
        etcd_debugging_server_alarms{server_id="1",alarm_type="NOSPACE"} 1
        """
    #expect(
        DaemonFigures(MetricsPage(member)).line
            == "leader, term 3, revision 7, data 2.5 MiB of 2048.0 MiB, 2 of 3 members up, ALARM NOSPACE")
    let proxy = """
        quorate_proxy_client_connections 4
        quorate_proxy_retries_total 2
        quorate_proxy_endpoint_serving{endpoint="http://a:2379"} 1
        quorate_proxy_endpoint_serving{endpoint="http://b:2379"} 0
        """
    #expect(DaemonFigures(MetricsPage(proxy)).line == "1 of 2 endpoints serve, not http://b:2379, 4 connections, 2 retries")
}
