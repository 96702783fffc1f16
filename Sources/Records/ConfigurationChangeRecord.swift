import Bytes
import Raft

extension ConfigurationChange {
    /// Reads an entry's data: raftpb.ConfChange or raftpb.ConfChangeV2, whichever `kind` says. Empty bytes are a second
    /// version without steps, which leaves a joint configuration.
    public init(decoding data: UnsafeRawBufferPointer, as kind: EntryKind) throws(DecodeError) {
        switch kind {
        case .configurationChange: try self.init(decodingFirstVersion: data)
        case .configurationChangeV2: try self.init(decodingSecondVersion: data)
        case .normal: throw .invalid("a normal entry is no configuration change")
        }
    }

    public init(decoding data: [UInt8], as kind: EntryKind) throws(DecodeError) {
        self = try data.withBytes { (raw) throws(DecodeError) in
            try ConfigurationChange(decoding: raw, as: kind)
        }
    }

    /// raftpb.ConfChange: ID 1, Type 2, NodeID 3, Context 4. It holds exactly one step; anything else is a bug.
    public func encodedFirstVersion() -> [UInt8] {
        precondition(steps.count == 1, "the first version of a configuration change has one step")
        var writer = ByteWriter()
        writer.required(1, id)
        writer.required(2, UInt64(steps[0].kind.rawValue))
        writer.required(3, steps[0].member)
        writer.field(4, context)
        return writer.array()
    }

    /// raftpb.ConfChangeV2: transition 1, changes 2 { type 1, node_id 2 }, context 3. It has no room for the id.
    public func encodedSecondVersion() -> [UInt8] {
        var writer = ByteWriter()
        writer.required(1, UInt64(transition.rawValue))
        for step in steps {
            writer.message(2) { change in
                change.required(1, UInt64(step.kind.rawValue))
                change.required(2, step.member)
            }
        }
        writer.field(3, context)
        return writer.array()
    }

    private init(decodingFirstVersion data: UnsafeRawBufferPointer) throws(DecodeError) {
        self.init()
        var step = Step(kind: .addVoter, member: 0)
        var reader = ByteReader(data)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.uint64(tag)
            case 2: step.kind = try reader.changeKind(tag)
            case 3: step.member = try reader.uint64(tag)
            case 4: context = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
        steps = [step]
    }

    private init(decodingSecondVersion data: UnsafeRawBufferPointer) throws(DecodeError) {
        self.init()
        var reader = ByteReader(data)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1:
                let number = try reader.int32(tag)
                guard let known = Transition(rawValue: number) else { throw .invalid("transition \(number)") }
                transition = known
            case 2: steps.append(try Step(decoding: try reader.borrowedBytes(tag)))
            case 3: context = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
    }
}

extension ConfigurationChange.Step {
    fileprivate init(decoding data: UnsafeRawBufferPointer) throws(DecodeError) {
        self.init(kind: .addVoter, member: 0)
        var reader = ByteReader(data)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: kind = try reader.changeKind(tag)
            case 2: member = try reader.uint64(tag)
            default: try reader.skip(tag)
            }
        }
    }
}

extension ByteReader {
    fileprivate mutating func changeKind(_ tag: FieldTag) throws(DecodeError) -> ConfigurationChangeKind {
        let number = try int32(tag)
        guard let known = ConfigurationChangeKind(rawValue: number) else {
            throw .invalid("configuration change kind \(number)")
        }
        return known
    }
}
