extension Compare {
    /// What a compare of anything but the value compares with; 0 when none is given, or one that belongs to another target.
    public var number: Int64 {
        switch (target, targetUnion) {
        case (.version, .version(let number)), (.create, .createRevision(let number)), (.mod, .modRevision(let number)),
            (.lease, .lease(let number)):
            number
        default: 0
        }
    }

    /// What a compare of the value compares with; empty when none is given, or one that belongs to another target.
    public var value: [UInt8] {
        if case .value(let value) = targetUnion { value } else { [] }
    }
}
