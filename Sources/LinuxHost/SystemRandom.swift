/// The kernel's randomness (`getrandom`), by way of the standard library.
public enum SystemRandom {
    /// 64 random bits: for member ids and the seeds of reproducible generators.
    public static func number() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }

    /// `count` random bytes: for tokens and keys.
    public static func bytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
