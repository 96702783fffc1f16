/// The line that `systemctl status` shows of a service that runs.
public struct StatusLine: Equatable, Sendable {
    /// What somebody would want to know at once: role, health, alarms.
    public var state: String
    /// Figures that always move, such as rates; they alone are not worth a message each second.
    public var activity: String

    public init(state: String, activity: String = "") {
        self.state = state
        self.activity = activity
    }

    public var text: String { activity.isEmpty ? state : state + ", " + activity }
}
