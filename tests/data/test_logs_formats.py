"""Formats and times of log lines."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from isthmus.data.logs import FORMATS, Clock, Parser, Tally, find_format, read_log, recognise
from isthmus.errors import ConfigError

LINES = {
    "syslog": "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: check pass; user unknown",
    "journal": "2024-05-01T10:00:00+0200 host systemd[1]: Started Session 4 of user root.",
    "rfc5424": "<34>1 2003-10-11T22:14:15.003Z mymachine su - ID47 - 'su root' failed",
    "apache": "[Sun Dec 04 04:47:44 2005] [error] mod_jk child workerEnv in error state 6",
    "access": '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326',
    "log4j": "2015-10-18 18:01:47,978 INFO [main] org.apache.hadoop.mapreduce.v2.app.MRAppMaster: Created MRAppMaster",
    "iso": "2024-05-01 10:00:00 started worker 4",
    "epoch": "1714557600.25 started worker 4",
    "level": "ERROR: disk full",
    "json": '{"ts": "2024-05-01T10:00:00Z", "level": "info", "msg": "started"}',
    "hdfs": "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_38 terminating",
    "spark": "17/06/09 20:10:40 INFO spark.SecurityManager: Changing view acls to: yarn,curi",
    "bgl": "APPREAD 1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.675872 R02-M1 RAS KERNEL INFO parity error corrected",
    "thunderbird": "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond(pam_unix)[2915]: session closed for user root",
    "plain": "something happened",
}
MESSAGES = {
    "syslog": "check pass; user unknown",
    "journal": "Started Session 4 of user root.",
    "rfc5424": "'su root' failed",
    "apache": "mod_jk child workerEnv in error state 6",
    "access": "GET /a.gif HTTP/1.0",
    "bgl": "parity error corrected",
    "thunderbird": "session closed for user root",
    "json": "started",
    "iso": "started worker 4",
    "hdfs": "PacketResponder 1 for block blk_38 terminating",
}
REAL = {
    "Apache": "apache",
    "BGL": "bgl",
    "HDFS": "hdfs",
    "Linux": "syslog",
    "OpenSSH": "syslog",
    "Spark": "spark",
    "Thunderbird": "thunderbird",
}


def test_every_known_format_has_a_line_here():
    assert set(LINES) == set(FORMATS)


@pytest.mark.parametrize("name", LINES)
def test_formats_are_recognised(name):
    assert recognise([LINES[name]] * 9 + ["a stray line"]).name == name


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_are_cut_out(name):
    parser = Parser(FORMATS[name])
    (record,) = parser.parse([LINES[name]])
    assert record.message == MESSAGES[name]
    assert not math.isnan(record.time)
    assert not parser.tally.counts


def test_the_label_of_bgl_is_in_no_part_of_a_record():
    alert = Parser(FORMATS["bgl"]).parse([LINES["bgl"]])[0]
    healthy = Parser(FORMATS["bgl"]).parse([LINES["bgl"].replace("APPREAD", "-", 1)])[0]
    assert (alert.message, alert.level, alert.time) == (healthy.message, healthy.level, healthy.time)


@pytest.mark.parametrize("system", REAL)
def test_real_logs_are_accounted_for(real_data, system):
    tally = Tally()
    reading = read_log(real_data / "logs" / f"{system}_2k.log", tally=tally)
    records = [record for found, _ in reading for record in found]
    assert reading.parser.form.name == REAL[system]
    assert [record.number for record in records] == list(range(1, 2001))
    assert tally.lines == 2000
    assert not tally.counts
    assert not any(math.isnan(record.time) for record in records)


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01T10:00:00Z",
        "2024-05-01 12:00:00,000 +02:00",
        "2024/05/01 10:00:00",
        "2024-05-01-10.00.00.000000",
        "1714557600",
        "1714557600000",
        "24/05/01 10:00:00",
        "240501 100000",
        "Wed May 01 10:00:00 2024",
        "01/May/2024:06:00:00 -0400",
    ],
)
def test_times_of_all_shapes_are_the_same_moment(text):
    assert Clock()(text) == datetime(2024, 5, 1, 10, tzinfo=UTC).timestamp()


def test_times_without_a_year_go_on_into_the_next_one():
    clock = Clock()
    december, january, late, february = (clock(f"{day} 00:00:00") for day in ("Dec 31", "Jan  1", "Dec 31", "Feb  1"))
    assert january - december == 86400
    assert late == december
    assert february - january == 31 * 86400


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01 00:00:00", "Foo 12 10:00:00", "99:99", "2024-05-01 10:61:00"])
def test_what_is_no_time_is_nan(text):
    assert math.isnan(Clock()(text))


def test_lines_without_the_format_are_kept_and_counted():
    parser = Parser(FORMATS["log4j"])
    records = parser.parse([LINES["log4j"], "java.io.IOException: disk full", "", "\tat Foo.bar(Foo.java:3)"])
    assert [record.message for record in records[1:]] == ["java.io.IOException: disk full", "", "\tat Foo.bar(Foo.java:3)"]
    assert len({record.time for record in records}) == 1
    assert parser.tally.counts == {"unparsed": 2, "empty": 1}


def test_json_lines_without_a_message_become_their_fields_and_broken_ones_are_counted():
    parser = Parser(FORMATS["json"])
    records = parser.parse(['{"user": "eve", "time": 1714557600, "code": 7}', '{"broken', "[1, 2]"])
    assert [record.message for record in records] == ["code=7 user=eve", '{"broken', "[1, 2]"]
    assert parser.tally.counts["unparsed"] == 2


def test_a_pattern_of_ones_own():
    form = find_format(r"(?P<time>\d+)\|(?P<level>\w+)\|(?P<message>.*)")
    (record,) = Parser(form).parse(["1714557600|warn|low battery"])
    assert (record.time, record.level, record.message) == (1714557600.0, "WARN", "low battery")


@pytest.mark.parametrize(
    "text, said", [("syslgo", "no group"), ("(?P<message>", "no regular expression"), (r"(?P<message>.*)(?P<when>\d)", "when")]
)
def test_wrong_formats_are_refused(text, said):
    with pytest.raises(ConfigError, match=said):
        find_format(text)


def test_state_goes_on_where_it_was():
    lines = ["Dec 31 23:59:59 a b: one", "Jan  1 00:00:00 a b: two", "x", "Feb  1 00:00:00 a b: three"]
    whole = Parser(FORMATS["syslog"])
    wanted = whole.parse(lines)
    first = Parser(FORMATS["syslog"])
    found = first.parse(lines[:2])
    second = Parser.from_state(first.state())
    assert found + second.parse(lines[2:], first=3) == wanted
    assert second.tally.state() == whole.tally.state()
