/// Why the store refused or could not answer.
public enum StoreError: Error, Equatable, Sendable {
    /// The revision asked for has been compacted.
    case compacted
    /// The revision asked for has not happened yet.
    case futureRevision
    /// The page file does not hold what the index says it holds, or cannot be read: file, place and reason. Final for the member.
    case corrupt(String)
}
