import Bytes
import Testing

@Suite struct JSONTests {
    @Test func readsEveryKindOfValue() throws {
        let json = try JSON(parsing: #" {"a":[1,-2,3.5,"x",true,false,null],"b":{},"c":[]} "#)
        let array: [JSON] = [.integer(1), .negativeInteger(-2), .double(3.5), .string("x"), .bool(true), .bool(false), .null]
        let fields = [JSON.Field("a", .array(array)), JSON.Field("b", .object([])), JSON.Field("c", .array([]))]
        #expect(json == .object(fields))
        #expect(json.text() == #"{"a":[1,-2,3.5,"x",true,false,null],"b":{},"c":[]}"#)
    }

    @Test func integersAreExactUpToSixtyFourBits() throws {
        #expect(try JSON(parsing: "18446744073709551615").uint64 == .max)
        #expect(try JSON(parsing: "-9223372036854775808").int64 == .min)
        #expect(try JSON(parsing: "9223372036854775807").int64 == .max)
        #expect(try JSON(parsing: "9223372036854775808").int64 == nil)
        #expect(try JSON(parsing: "18446744073709551616") == .double(18446744073709551616))
        #expect(try JSON(parsing: "-0") == .integer(0))
        #expect(try JSON(parsing: "1e2") == .double(100))
        #expect(try JSON(parsing: "1e2").text() == "100")
        #expect(try JSON(parsing: "7").number == 7)
    }

    @Test func unescapesStrings() throws {
        let json = try JSON(parsing: #""\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00é😀""#)
        #expect(json.string == "\"\\/\u{8}\u{c}\n\r\tAé😀é😀")
    }

    @Test func escapesAsGoDoes() {
        let text = JSON.string("<a&b>\u{2028}\u{2029}\u{1}\"\\\n\u{8}é").text()
        #expect(
            text == #""\u003ca\u0026b\u003e\u2028\u2029\u0001\"\\\n\bé""#)
        #expect(JSON.string("<a&b>\"\u{1f}").text(escaping: .minimal) == #""<a&b>\"\u001f""#)
    }

    @Test(arguments: [
        "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "tru",
        "nul1",
        "01", "1.", ".5", "-", "+1", "1e", "1e999", "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"",
        "\"\\udc00\"", "\"\n\"", "1 2", "[1 2]", "{\"a\" 1}", "NaN", "Infinity", "'a'",
    ])
    func refuses(_ text: String) {
        #expect(throws: JSONError.self) { try JSON(parsing: text) }
    }

    @Test func refusesBytesThatAreNotUTF8() {
        #expect(throws: JSONError(offset: 1, reason: "string is not UTF-8")) { try JSON(parsing: [0x20, 0x22, 0xff, 0x22]) }
        #expect(throws: JSONError.self) { try JSON(parsing: [0x22, 0x5c, 0x6e, 0xff, 0x22]) }
    }

    @Test func namesTheOffset() {
        #expect(throws: JSONError(offset: 7, reason: "unknown word")) { try JSON(parsing: "[true,nope]") }
    }

    @Test func boundsTheDepth() throws {
        func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        #expect(try JSON(parsing: nested(JSON.maximumDepth)).array?.count == 1)
        #expect(throws: JSONError.self) { try JSON(parsing: nested(JSON.maximumDepth + 1)) }
        #expect(throws: JSONError.self) { try JSON(parsing: "[[[]]]", maximumDepth: 2) }
        // Siblings do not add up.
        #expect(try JSON(parsing: "[[],[],[]]", maximumDepth: 2).array?.count == 3)
    }

    @Test func theLastOfRepeatedNamesCounts() throws {
        let json = try JSON(parsing: #"{"a":1,"a":2}"#)
        #expect(json["a"]?.uint64 == 2)
        #expect(json.text() == #"{"a":1,"a":2}"#)
        #expect(JSON.null["a"] == nil)
    }

    @Test func everyCutOfATextIsRefused() throws {
        let text = Array(#"{"Root":{"Path":"/\u0041","n":[1,2.5e3,-7]},"x":null}"#.utf8)
        #expect(try JSON(parsing: text)["x"] == .null)
        for length in 0..<text.count {
            #expect(throws: JSONError.self) { try JSON(parsing: Array(text[..<length])) }
        }
    }
}
