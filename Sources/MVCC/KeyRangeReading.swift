import Bytes

/// Ranges as requests spell them, on top of the index's half-open ones.
extension KeyReading {
    /// Visits the live keys of a range at a revision, ascending, until `body` returns false. `after`: go on behind this key.
    public func visit(
        _ range: KeyRange, after: [UInt8]? = nil, at revision: Int64, _ body: (UnsafeRawBufferPointer, Revision) -> Bool
    ) {
        (after ?? range.first).withUnsafeBytes { first in
            switch range.end {
            case .single:
                if after == nil, let state = get(first, at: revision) { _ = body(first, state.revision) }
            case .open:
                _ = visit(from: first, after: after != nil, to: nil, at: revision) { body($0, $1.revision) }
            case .before(let end):
                end.withUnsafeBytes { end in
                    // The index wants from <= to; an inverted range is simply empty.
                    guard compareBytes(first, end) < 0 else { return }
                    _ = visit(from: first, after: after != nil, to: end, at: revision) { body($0, $1.revision) }
                }
            }
        }
    }

    /// Live keys of a range at a revision.
    public func count(_ range: KeyRange, at revision: Int64) -> Int {
        range.first.withUnsafeBytes { first in
            switch range.end {
            case .single: return get(first, at: revision) == nil ? 0 : 1
            case .open: return count(from: first, to: nil, at: revision)
            case .before(let end):
                return end.withUnsafeBytes { end in
                    compareBytes(first, end) < 0 ? count(from: first, to: end, at: revision) : 0
                }
            }
        }
    }
}
