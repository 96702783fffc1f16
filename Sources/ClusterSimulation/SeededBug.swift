/// Mistakes that can be made on purpose; the checkers must find each.
public enum SeededBug: String, CaseIterable, Sendable {
    case staleRead = "stale-read"
}
