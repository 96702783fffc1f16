/// etcd's feature gates (3.6 and later; in 3.5 the same things were `--experimental-*` flags).
public enum Feature: String, CaseIterable, Sendable {
    case compactHashCheck = "CompactHashCheck"
    case fastLeaseKeepAlive = "FastLeaseKeepAlive"
    case initialCorruptCheck = "InitialCorruptCheck"
    case leaseCheckpoint = "LeaseCheckpoint"
    case leaseCheckpointPersist = "LeaseCheckpointPersist"
    case priorityRequest = "PriorityRequest"
    case setMemberLocalAddress = "SetMemberLocalAddr"
    case stopGRPCServiceOnDefragmentation = "StopGRPCServiceOnDefrag"
    case transactionSharedBuffer = "TxnModeWriteWithSharedBuffer"

    enum Stage { case alpha, beta }

    var stage: Stage {
        switch self {
        case .fastLeaseKeepAlive, .transactionSharedBuffer: return .beta
        default: return .alpha
        }
    }

    /// On unless told otherwise: the beta ones, and the checks for corruption, which etcd leaves off.
    public var isOnByDefault: Bool { stage == .beta || self == .initialCorruptCheck || self == .compactHashCheck }

    /// What a value other than the default does here.
    var effect: SettingEffect {
        switch self {
        case .initialCorruptCheck, .compactHashCheck, .setMemberLocalAddress: return .supported
        case .leaseCheckpoint, .leaseCheckpointPersist: return Support.leaseCheckpoints
        case .fastLeaseKeepAlive:
            return .acceptedWithoutEffect("leases are always renewed without waiting for earlier entries to apply")
        case .priorityRequest: return .acceptedWithoutEffect("lease requests always keep flowing under overload")
        case .stopGRPCServiceOnDefragmentation: return .acceptedWithoutEffect("defragmentation does not stop the service")
        case .transactionSharedBuffer: return .acceptedWithoutEffect("it tunes a buffer that exists in etcd only")
        }
    }
}

/// Which features are on. Features that were not named keep their defaults.
public struct FeatureGates: Sendable, Equatable {
    private var chosen: [Feature: Bool] = [:]

    public init() {}

    public func isEnabled(_ feature: Feature) -> Bool { chosen[feature] ?? feature.isOnByDefault }

    func isChosen(_ feature: Feature) -> Bool { chosen[feature] != nil }

    mutating func set(_ feature: Feature, _ isOn: Bool) { chosen[feature] = isOn }

    /// Features whose state is not the default one, in alphabetical order.
    var deviations: [Feature] { Feature.allCases.filter { isEnabled($0) != $0.isOnByDefault } }

    /// `Name=true,Other=false` in alphabetical order, of the features that were named.
    var text: String {
        Feature.allCases.compactMap { feature in chosen[feature].map { "\(feature.rawValue)=\($0)" } }.joined(separator: ",")
    }

    /// Reads `Name=true,Other=false`. `AllAlpha` and `AllBeta` set every feature of that stage that was not named itself, before
    /// or in the same text.
    mutating func parse(_ text: String) throws(ValueProblem) {
        var stages: [(Feature.Stage, Bool)] = []
        for part in text.split(separator: ",") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { trimmed(String($0)) }
            guard pair.count == 2 else { throw ValueProblem(reason: "missing bool value for \(pair[0])") }
            let isOn: Bool
            do {
                isOn = try NumberText.truth(pair[1])
            } catch {
                throw ValueProblem(reason: "invalid value of \(pair[0])=\(pair[1]): must be true or false")
            }
            switch (pair[0], Feature(rawValue: pair[0])) {
            case (_, let feature?): chosen[feature] = isOn
            case ("AllAlpha", nil): stages.append((.alpha, isOn))
            case ("AllBeta", nil): stages.append((.beta, isOn))
            default: throw ValueProblem(reason: "unrecognized feature gate: \(pair[0])")
            }
        }
        for (stage, isOn) in stages {
            for feature in Feature.allCases where feature.stage == stage && chosen[feature] == nil { chosen[feature] = isOn }
        }
    }
}
