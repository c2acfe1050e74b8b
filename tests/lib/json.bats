#!/usr/bin/env bats
# covers: lib/base
# shellcheck disable=SC1003,SC2059  # what the tests write are printf formats
load ../support/helper
export PROBE

taken() {	# printf format
	printf -- "$1" | "$PROBE/probe" json-check || { echo "refused: $1"; return 1; }
}

no() {	# printf format, part of the reason
	local out
	out=$(printf -- "$1" | "$PROBE/probe" json-check 2>&1) && { echo "taken: $1"; return 1; }
	[[ $out == *"$2"* ]] || { echo "$1: $out, expected: $2"; return 1; }
}

@test "values of every kind are taken" {
	for v in null true false 0 -0 1 -1 10 1.10 0.5 1e5 1E5 1e+5 1e-05 -0.0e-0 1.5e300 9007199254740993 \
		'""' '"a"' '[]' '{}' '[1]' '[[],{}]' '{"a":1}' '{"a":1,"a":2}' '{"":[{}]}' '[1,2,3]' \
		'[1 , 2]' ' \t\r\n1\n' '{ "a" : [ ] }' '[\n]' '{"a":{"b":{"c":[null,true,false]}}}' \
		'"\\\\\\"\\/\\b\\f\\n\\r\\t"' '"\\u0000\\uFFff\\ud83d\\ude00"' '"\\ud800"' '"\\udc00\\ud800"' \
		'"\177"' '"\303\244"' '"\342\202\254"' '"\360\237\230\200"' '"\364\217\277\277"' \
		'"\340\240\200"' '"\355\237\277"' '"\356\200\200"' '"\357\273\277"' '"\302\200"' \
		'123456789012345678901234567890123456789012345678901234567890'; do
		taken "$v"
	done
}

@test "numbers that RFC 8259 excludes" {
	no 01 'leading zero'; no -01 'leading zero'; no 00 'leading zero'; no '[-012]' 'leading zero'
	no 2. digit; no 2.e3 digit; no -2. digit; no .5 'value expected'; no -.5 digit; no +1 'value expected'
	no - digit; no -- digit; no 1e digit; no 1e+ digit; no 1e1.5 something; no 1ee1 digit; no 0x1 something
	no 1a something; no '1 2' something; no -Infinity digit; no '[1.]' digit; no '[-]' digit; no 1_000 something
}

@test "words that RFC 8259 excludes" {
	no NaN value; no Infinity value; no -NaN digit; no True value; no nul value; no nulll something; no tru value
	no None value; no undefined value; no '[nan]' value
}

@test "strings that RFC 8259 excludes" {
	no '"' 'not closed'; no '"abc' 'not closed'; no '"\\' 'not closed'; no '"\\"' 'not closed'; no 'abc"' value
	no "'a'" value; no '"\\x41"' 'bad escape'; no '"\\a"' 'bad escape'; no '"\\\000"' 'bad escape'
	no '"\\u"' 'bad \u'; no '"\\u12"' 'bad \u'; no '"\\u123' 'not closed'; no '"\\u123g"' 'bad \u'; no '"\\U0041"' 'bad escape'
	for c in 000 001 010 011 012 015 037; do
		no '"a\'$c'b"' 'control character'
		no '"abcdefgh12\'$c'34567890"' 'control character'
	done
}

@test "bytes that are not UTF-8" {
	for s in '\200' '\277' '\300\200' '\301\277' '\303' '\303a' '\342\202' '\342\202a' '\340\200\200' '\340\237\277' \
		'\355\240\200' '\355\277\277' '\360\200\200\200' '\360\217\277\277' '\360\237\230' '\364\220\200\200' \
		'\365\200\200\200' '\376' '\377' '\370\210\200\200\200' '\303\244\244' '\342\202\254\202'; do
		no '"'"$s"'"' 'not UTF-8'
		no '["abcdefghijklmnop'"$s"'"]' 'not UTF-8'
	done
	no '"\342\202' 'not UTF-8'
}

@test "structure that RFC 8259 excludes" {
	no '' empty; no ' \n' empty; no '\357\273\2771' 'byte order mark'; no '[1,]' value; no '[,1]' value; no '[1,,2]' value
	no '{"a":1,}' name; no '{,}' name; no '{a:1}' name; no '{1:1}' name; no '{"a"}' "':'"; no '{"a":}' value; no '{"a",1}' "':'"
	no "{'a':1}" name; no '[' value; no '{' name; no '[1' 'not closed'; no '{"a":1' 'not closed'; no ']' value; no '}' value
	no '[}' value; no '{]' name; no '[1}' "']'"; no '{"a":1]' "'}'"; no '[1 2]' "']'"; no '{"a":1 "b":2}' "'}'"; no '[[]' 'not closed'
	no '{}{}' something; no '[]]' something; no '1,' something; no '// c\n1' value; no '/* c */1' value; no '1 # c' something
	no '1\000' something; no '\0001' value; no '1\014' something; no '1\302\240' something; no '[1;2]' "']'"; no '{"a":1:2}' "'}'"
}

@test "brackets to the limit, and one more" {
	n=1000000
	for pair in '[ ]' '{"a": }'; do
		read -r open close <<<"$pair"
		{ yes "$open" | head -n $n | tr -d '\n'; echo 1; yes "$close" | head -n $n | tr -d '\n'; } >"$EB_TMP/deep"
		"$PROBE/probe" json-check <"$EB_TMP/deep"
		{ printf '%s' "$open"; cat "$EB_TMP/deep"; printf '%s' "$close"; } >"$EB_TMP/deeper"
		run "$PROBE/probe" json-check <"$EB_TMP/deeper"
		assert_failure 1
		assert_output --partial 'deeper than 1000000'
		head -c 3000000 "$EB_TMP/deep" | head -c 500000 >"$EB_TMP/cut"
		run "$PROBE/probe" json-check <"$EB_TMP/cut"
		assert_failure 1
	done
	# levels keep their kind when the stack grows
	{ for ((i = 0; i < 3000; i++)); do printf '[{"a":'; done; printf 0; for ((i = 0; i < 3000; i++)); do printf '}]'; done; } |
		"$PROBE/probe" json-check
}

@test "Python's json agrees on mutated documents" {
	need python3
	python3 - "$PROBE/probe" <<-'EOF'
	import json, random, subprocess, sys
	random.seed(8259)
	if hasattr(sys, "set_int_max_str_digits"):
	    sys.set_int_max_str_digits(0)
	def refuse(word):
	    raise ValueError(word)
	def judge(b):
	    if b.startswith(b"\xef\xbb\xbf"):
	        return False
	    try:
	        json.loads(b.decode("utf-8"), parse_constant=refuse)
	        return True
	    except (ValueError, RecursionError):
	        return False
	seeds = [b'{"a":[1,-2.5e+10,true,false,null,"x\\u00e9\\n\\"\\\\"],"b":{"c":{}}}',
	    '{"ä":"€😀 long enough for eight bytes at a time","k":"\\ud83d\\ude00"}'.encode(),
	    b'[[[[]]],{"":""},0,-0,0.1,1E-5]', b' [ 1 , 2 ] ', b'"plain ascii text of some length \\t end"', b'-0.0e0']
	bits = [b'"', b'\\', b'{', b'}', b'[', b']', b',', b':', b'0', b'1', b'-', b'+', b'.', b'e', b'E', b'\\u', b'\\ud800', b't',
	    b'null', b'true', b'NaN', b' ', b'\n', b'\t', b'\r', b'\x00', b'\x1f', b'\x7f', b'\x80', b'\xc3', b'\xc3\xa9', b'\xed\xa0\x80',
	    b'\xf0\x9f\x98\x80', b'\xf4\x90\x80\x80', b'\xc0\x80', b'/', b"'", b'#', b'\xef\xbb\xbf']
	docs = list(seeds)
	for i in range(12000):
	    d = bytearray(random.choice(seeds))
	    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
	        at = random.randrange(len(d) + 1)
	        what = random.randrange(4)
	        if what == 0:
	            d[at:at] = random.choice(bits)
	        elif what == 1:
	            del d[at:at + random.choice((1, 1, 2, 5))]
	        elif what == 2:
	            d[at:at + 1] = random.choice(bits)
	        else:
	            d = d[:at] if random.random() < 0.3 else d[at:] + d[:at] if random.random() < 0.2 else d
	    docs.append(bytes(d))
	feed = b"".join(b"%d\n%s" % (len(d), d) for d in docs)
	out = subprocess.run([sys.argv[1], "json-check-many"], input=feed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode()
	assert len(out) == len(docs), (len(out), len(docs))
	wrong = [d for d, o in zip(docs, out) if (o == "1") != judge(d)]
	print(out.count("1"), "of", len(docs), "valid;", len(wrong), "differ", wrong[:5])
	assert not wrong and 500 < out.count("1") < len(docs) - 500
	EOF
}

@test "members come in order, escaped, with trimmed values" {
	run "$PROBE/probe" json-walk <<<' { "a" : 1 , "b\"c":"x\ny", "a":[1,{"}":"]"}],"d":{"e":"\\"} ,"n":null} '
	assert_output 'key [a]
value [1]
key [b\"c]
value ["x\ny"]
text [x
y]
key [a]
value [[1,{"}":"]"}]]
key [d]
value [{"e":"\\"}]
key [n]
value [null]'
	run "$PROBE/probe" json-walk <<<'{}'
	assert_success
	assert_output ''
	run "$PROBE/probe" json-walk <<<'[1]'
	assert_failure 1
}

@test "the walker ends on any input" {
	local s
	for s in '{' '}' '{"' '{"}' '{"a}' '{"a"}' '{"a":}' '{"a":"}' '{"a":"\}' '{"a":[}' '{"a":"\"}' '{"a":1,}' '{,}' '{]]}' '{"\u":"\u"}' '{"a":"\ud8"}' '{"a":]}' '{"a" 1}'; do
		run timeout 5 "$PROBE/probe" json-walk <<<"$s"
		[ "$status" -le 1 ]
	done
}

@test "escapes become bytes" {
	run bash -c 'printf %s "$1" | "$PROBE/probe" json-unquote | od -An -c | tr -s " "' - '"a\"\\\/\b\f\n\r\t\u0000\u00e9\u20ac\ud83d\ude00"'
	assert_output ' a " \ / \b \f \n \r \t \0 303 251 342 202 254 360
 237 230 200'
	for s in '"\ud800"' '"\udc00"' '"\ud800x"' '"\ud800\u0041"' '"\ud800\ud800"'; do
		run bash -c 'printf %s "$1" | "$PROBE/probe" json-unquote' - "$s"
		assert_output --partial $'\xef\xbf\xbd'
	done
	for s in 1 null '[]' '"' '"\"' '"\u12"' '"\x"'; do
		run bash -c 'printf %s "$1" | "$PROBE/probe" json-unquote' - "$s"
		assert_failure
	done
}

@test "quoted bytes come back, all 256 of them" {
	for ((i = 0; i < 256; i++)); do printf "\\$(printf %03o $i)"; done >"$EB_TMP/all"
	"$PROBE/probe" json-quote <"$EB_TMP/all" >"$EB_TMP/quoted"
	"$PROBE/probe" json-unquote <"$EB_TMP/quoted" | cmp - "$EB_TMP/all"
	head -c 128 "$EB_TMP/all" | "$PROBE/probe" json-quote | "$PROBE/probe" json-check
	run "$PROBE/probe" json-quote < <(printf '"\\/\n\r\t\b\f\001\037\177')
	assert_output '"\"\\/\n\r\t\b\f\u0001\u001f'$'\x7f"'
	# as text the output is always JSON
	"$PROBE/probe" json-quote-text <"$EB_TMP/all" | "$PROBE/probe" json-check
	run "$PROBE/probe" json-quote-text < <(printf '\303\244\377\342\202x\360\237\230\200')
	assert_output $'"\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\xf0\x9f\x98\x80"'
}

@test "a value on one line keeps every other byte" {
	run "$PROBE/probe" json-oneline < <(printf '{\r\n\t"a": 1.10,\n "b":"\\n"}')
	assert_output $'{  \t"a": 1.10,  "b":"\\n"}'
}

@test "base64 both ways" {
	for pair in : f:Zg== fo:Zm8= foo:Zm9v foob:Zm9vYg== fooba:Zm9vYmE= foobar:Zm9vYmFy; do
		run bash -c 'printf %s "$1" | "$PROBE/probe" base64-encode' - "${pair%%:*}"
		assert_output "${pair#*:}"
		run bash -c 'printf %s "$1" | "$PROBE/probe" base64-decode' - "${pair#*:}"
		assert_output "${pair%%:*}"
		assert_success
	done
	for s in Z Zg Zg= Zg=== Zh== Zm9= Zg==Zg== '====' 'Zm 9' 'Zm9v\n' 'Z=9v' '_m9v'; do
		run bash -c 'printf "$1" | "$PROBE/probe" base64-decode' - "$s"
		assert_failure
	done
}
