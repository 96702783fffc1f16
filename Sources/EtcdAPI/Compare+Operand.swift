extension Compare {
    /// What a compare of anything but the value compares with; 0 when none is given.
    public var number: Int64 {
        switch targetUnion {
        case .version(let number), .createRevision(let number), .modRevision(let number), .lease(let number): number
        case .value, nil: 0
        }
    }

    /// What a compare of the value compares with.
    public var value: [UInt8] {
        if case .value(let value) = targetUnion { value } else { [] }
    }
}
