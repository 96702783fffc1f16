import Bytes
import EtcdAPI
import GRPC
import MVCC
import Member
import NIOCore
import PageStore
import Records
import Telemetry

/// `Maintenance.Snapshot`: the page file as of a commit that holds everything applied so far, in pieces, and the SHA-256 of it all
/// at the end, which is how a saved file is told from a copied one.
final class SnapshotHandler: GRPCStreamHandler {
    /// Bytes in one message (etcd's 32 KiB).
    private static let pieceBytes = 32 << 10

    private let member: LoopMember
    private let duration: Histogram
    private var began = NIODeadline.now()
    private var pages: SnapshotPages?
    private var digest = SHA256()
    private var sent = 0
    private var isScheduled = false

    /// Of the release that may restore the copy, which members from 3.6 on say in every piece; empty where the page file has none.
    private var version = ""
    private let behavesAsMinor: Int

    init(_ member: LoopMember, _ duration: Histogram, behavesAsMinor: Int) {
        self.member = member
        self.behavesAsMinor = behavesAsMinor
        self.duration = duration
    }

    func received(_ message: UnsafeRawBufferPointer, on stream: GRPCStream) {
        // A copy of wrong data must not become somebody's backup.
        if member.published.status.isKnownCorrupt { return stream.refuse(.corrupt) }
        member.submit(.commitPages) { [self] answer in
            guard case .done = answer else { return stream.answer(answer) }
            began = .now()
            let published = member.port.published
            if behavesAsMinor >= 6, let storage = published.status.membership.clusterVersion, storage >= ClusterVersion(3, 6) {
                version = storage.description
            }
            pages = published.view.snapshotPages(chunkSize: SnapshotHandler.pieceBytes)
            goOn(stream)
        }
    }

    func drained(_ stream: GRPCStream) { goOn(stream) }
    func closed(_ stream: GRPCStream) { pages = nil }

    private func goOn(_ stream: GRPCStream) {
        guard let pages, !isScheduled, stream.isOpen, stream.isWritable else { return }
        do {
            // A few pieces a turn: they may come from the disk.
            for _ in 0..<8 {
                guard stream.isWritable else { return }
                guard let piece = try pages.next() else { return finish(stream) }
                sent += piece.count
                piece.withUnsafeBytes { digest.update($0) }
                let remaining = UInt64(pages.totalSize - sent)
                stream.send { SnapshotResponse(remainingBytes: remaining, blob: piece, version: version).encode(into: &$0) }
            }
        } catch {
            stream.finish(GRPCStatus(.internal, "\(error)"))
            return
        }
        isScheduled = true
        stream.eventLoop?.assumeIsolated().execute {
            self.isScheduled = false
            self.goOn(stream)
        }
    }

    private func finish(_ stream: GRPCStream) {
        pages = nil
        duration.observe(since: began)
        stream.send { SnapshotResponse(blob: digest.finish(), version: version).encode(into: &$0) }
        stream.finish()
    }
}
