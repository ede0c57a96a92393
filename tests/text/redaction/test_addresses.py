"""Which e-mail and IP addresses are somebody's, and which are left alone."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.text.redaction.emails import find_emails
from spanmix.text.redaction.ip_addresses import find_ip_addresses, is_public


def found(rule, text):
    return [text[one.start : one.end] for one in rule(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Ann Author <ann.author@uni-ulm.de>", ["ann.author@uni-ulm.de"]),
        ("mail('x+y_1@mail.acme.io', to)", ["x+y_1@mail.acme.io"]),
        ("href=\"mailto:bo@bo.dev?subject=x\"", ["bo@bo.dev"]),
        ("a@bo.com,b@bo.com;c@bo.org.", ["a@bo.com", "b@bo.com", "c@bo.org"]),
        (r"text = 'line\nann@bo.com\tbob@bo.com'", ["ann@bo.com", "bob@bo.com"]),
        (r"'\u00e4ann@bo.com'", ["ann@bo.com"]),
        ("jürgen@bo.com, o'brien@bo.com, d’arc@bo.com", ["jürgen@bo.com", "o'brien@bo.com", "d’arc@bo.com"]),
        ("mail = f'ann@bo.com'; 邮箱ann@bo.com", ["ann@bo.com", "ann@bo.com"]),
        ("ann@corp-mail.shop ann@corp-mail.engineer 'ann@bücher.de'", [
            "ann@corp-mail.shop", "ann@corp-mail.engineer", "ann@bücher.de"]),
        (r"?u=ann%40bo.com 'ann\x40bo.com' ann\u0040bo.com ann&#64;bo.com ann&#x40;bo.com ann＠bo.com", [
            "ann%40bo.com", r"ann\x40bo.com", r"ann\u0040bo.com", "ann&#64;bo.com", "ann&#x40;bo.com",
            "ann＠bo.com"]),
        ("http://lists.bo.com/ann@bo.com http://bo.com/%20bob@bo.com", ["ann@bo.com", "bob@bo.com"]),
        ('"%d@bo.com" % 5, "%-5s@bo.com", "%02d@bo.com", "%ld@bo.com"', []),
        ('"%(name)s@bo.com", "$USER@bo.com", "{}@bo.com"', []),
        ('"%dann@bo.com" % 5', ["ann@bo.com"]),
        ("@ann @bo.com ann@ a@b @@ ann@bo", []),
        ("ann@example.com x@a.example.org t@t.test me@localhost a@host.local", []),
        ("noreply@bo.com no-reply@bo.com git@github.com 1+a@users.noreply.github.com", []),
        ("weights = q@k.transpose(1, 2) + a@b.to(x) + c@d.T", []),
        ("npm i react@18.2.0 @types/node@20.1.x icon@2x.png user@2.0", []),
        ("https://ann@git.bo.com/x.git postgres://ann:pw@db.bo.com/x", []),
        ("see https://bo.com/x and ann@bo.com", ["ann@bo.com"]),
        ("@app.route('/x')\n@pytest.mark.skip\ndef f(): ...", []),
    ],
)  # fmt: skip
def test_emails(text, expected):
    assert found(find_emails, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host = '93.184.216.34'", ["93.184.216.34"]),
        ("http://93.184.216.34:8080/x", ["93.184.216.34"]),
        ("ping 51.15.20.7, 51.15.20.8", ["51.15.20.7", "51.15.20.8"]),
        ("allow 51.15.20.0/24;", ["51.15.20.0"]),
        ("server [2a00:1450:4001:82a::200e]:443", ["2a00:1450:4001:82a::200e"]),
        ("AAAA 2607:f8b0:4005:805:0:0:0:200e", ["2607:f8b0:4005:805:0:0:0:200e"]),
        ("127.0.0.1 0.0.0.0 10.1.2.3 172.16.9.9 192.168.1.1 169.254.1.1 255.255.255.255", []),
        ("192.0.2.7 198.51.100.7 203.0.113.7 2001:db8::1 ::1 fe80::1 fd00::1 224.0.0.9", []),
        ("dns = ['8.8.8.8', '1.1.1.1', '2001:4860:4860::8888']", []),
        ("ip = '1.2.3.4' or '12.34.56.78' or '77.77.77.77'", []),
        ("version = '51.15.20.7'", []),
        ('AssemblyVersion("51.15.20.7")', []),
        ("pip install pkg==51.15.20.7 x>=51.15.20.7", []),
        ("Mozilla/5.0 Chrome/51.15.20.7 Safari", []),
        ("v51.15.20.7 51.15.20.7-rc1 51.15.20.7.tar.gz 51.15.20.7.8 x51.15.20.7", []),
        ("OID 2.5.4.11 and 1.3.6.1", []),
        ("release 2.6.3.8", []),
        ("300.1.2.3 51.015.20.7 1.2.3", []),
        ("c0 1.28.48 2.34 1.34 2.98 51.66.46.17 .98", []),
        ("std::vector<int> a::b::c 2024:10:11 12:30:45", []),
    ],
)
def test_ip_addresses(text, expected):
    assert found(find_ip_addresses, text) == expected


@given(st.ip_addresses())
def test_an_address_is_public_only_if_the_registries_say_so(address):
    if is_public(str(address)):
        assert address.is_global and not address.is_private


def test_random_public_addresses_are_found_in_an_assignment():
    met = 0
    for number in range(0, 2**32, 2**32 // 3_000 + 12_345):
        address = ipaddress.ip_address(number)
        if is_public(str(address)):
            met += 1
            assert found(find_ip_addresses, f'connect("{address}", 80)') == [str(address)], address
    assert met > 2_000


def test_an_at_sign_between_names_of_a_python_program_is_an_operator():
    text = (
        'def f(W, n):\n    """Of ann@bo.ai, see <bob@bo.ai>."""\n    y = W@m.ai + n@x.co  # by cy@bo.ai\n'
        '    return y, "dan@bo.ai"\n'
    )
    assert [text[one.start : one.end] for one in find_emails(text, is_python=True)] == [
        "ann@bo.ai", "bob@bo.ai", "cy@bo.ai", "dan@bo.ai",
    ]  # fmt: skip
    assert len(list(find_emails(text))) == 6
    for prose in ("Mail ann@bo.ai or\nsay it.", "x = 'open\nann@bo.ai", '"""open\nann@bo.ai'):
        assert found(lambda one: find_emails(one, is_python=True), prose) == ["ann@bo.ai"]


def test_each_address_of_a_long_line_is_met_once():
    for address in ("51.15.20.7", "ann@bo.com"):
        rule = find_emails if "@" in address else find_ip_addresses
        assert found(rule, f"{address} " * 2_000) == [address] * 2_000
