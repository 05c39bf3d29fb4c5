"""What the doctor says, in English and Chinese: what it found, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Language = Literal["en", "zh"]
Verdict = Literal["pass", "warn", "fail"]

SHOWN: Mapping[Language, Mapping[Verdict, str]] = {
    "en": {"pass": "pass", "warn": "warn", "fail": "FAIL"},
    "zh": {"pass": "通过", "warn": "提醒", "fail": "失败"},
}

CHECKS: Mapping[str, tuple[str, str]] = {
    "home": ("home folder", "主目录"),
    "settings": ("settings", "运行设置"),
    "versions": ("versions", "版本"),
    "memory": ("memory", "内存"),
    "disk": ("disk space", "磁盘空间"),
    "encryption": ("disk encryption", "磁盘加密"),
    "records": ("records", "病历库"),
    "clock": ("clock", "时钟"),
    "papers": ("certificate", "证书"),
    "supernode": ("SuperNode key", "SuperNode 密钥"),
    "dns": ("name service", "域名解析"),
    "proxy": ("proxy", "代理"),
    "ports": ("ports", "端口"),
    "coordinator": ("coordinator", "协调方"),
    "node": ("site node", "医院节点"),
}

WORDS: Mapping[str, tuple[str, str]] = {
    "home_private": ("{path} is this user's alone", "{path} 仅本用户可读"),
    "home_open": ("others can read {path}", "其他用户可读取 {path}"),
    "home_missing": ("there is no site home at {path}", "{path} 不是医院主目录"),
    "settings_good": ("serve.toml is valid or not needed", "serve.toml 有效或不需要"),
    "settings_bad": ("serve.toml is not valid: {why}", "serve.toml 无效：{why}"),
    "versions_good": ("{versions}", "{versions}"),
    "versions_bad": (
        "{program} {found} is not supported; {wanted} is",
        "不支持 {program} {found}；需要 {wanted}",
    ),
    "memory_good": ("{gib} GiB available", "可用 {gib} GiB"),
    "memory_little": ("only {gib} GiB available", "仅可用 {gib} GiB"),
    "memory_unknown": ("cannot be read here", "无法读取"),
    "disk_good": ("{gib} GiB free", "剩余 {gib} GiB"),
    "disk_little": ("only {gib} GiB free", "仅剩 {gib} GiB"),
    "disk_unknown": ("cannot be read: {why}", "无法读取：{why}"),
    "encrypted": ("{device} is encrypted", "{device} 已加密"),
    "not_encrypted": ("{device} is not encrypted by this machine", "本机未加密 {device}"),
    "encryption_unknown": ("{device} ({kind}): cannot be seen from here", "{device}（{kind}）：此处无法判断"),
    "server_good": ("PostgreSQL {version} holds them", "由 PostgreSQL {version} 保存"),
    "server_bad": ("they cannot be reached: {why}", "无法访问：{why}"),
    "server_forgets": ("the server runs with fsync = off", "服务器以 fsync = off 运行"),
    "server_schema_open": (
        "every user of the server may enter their schema",
        "服务器的所有用户都可进入其模式",
    ),
    "records_left": ("{path} is still there beside the server", "服务器之外仍有 {path}"),
    "server_disk": ("of the PostgreSQL server: cannot be seen from here", "PostgreSQL 服务器：此处无法判断"),
    "clock_synchronised": ("synchronised", "已同步"),
    "clock_free": ("nothing keeps this clock right", "没有校时服务"),
    "clock_agrees": ("agrees with the coordinator within {seconds} s", "与协调方相差 {seconds} 秒以内"),
    "clock_off": ("{seconds} s away from the coordinator's", "与协调方相差 {seconds} 秒"),
    "papers_good": ("all hold until {day} at least", "至少有效至 {day}"),
    "papers_soon": ("{paper} ends on {day}", "{paper} 将于 {day} 到期"),
    "papers_bad": ("they do not hold ({code}): {what}", "证书不成立（{code}）：{what}"),
    "papers_simulated": ("a simulated site needs none", "模拟医院不需要"),
    "key_good": ("{path} is there, its owner's alone", "{path} 存在且仅本用户可读"),
    "key_missing": ("{path} is not there", "缺少 {path}"),
    "key_open": ("others can read {path}", "其他用户可读取 {path}"),
    "no_superlink": ("no SuperLink is configured; the node runs alone", "未配置 SuperLink；节点单独运行"),
    "dns_good": ("{host} is {address}", "{host} 解析为 {address}"),
    "dns_bad": ("{host} has no address", "无法解析 {host}"),
    "proxy_none": ("none is used", "不使用代理"),
    "proxy_ignored": (
        "none is used; {names} of the environment is ignored",
        "不使用代理；忽略环境变量 {names}",
    ),
    "proxy_good": ("{proxy} lets {target} through", "{proxy} 可通往 {target}"),
    "proxy_bad": ("{proxy} does not let {target} through: {why}", "{proxy} 无法通往 {target}：{why}"),
    "port_free": ("127.0.0.1:{port} is free", "127.0.0.1:{port} 空闲"),
    "port_ours": ("127.0.0.1:{port} is this site's SuperNode", "127.0.0.1:{port} 由本院 SuperNode 使用"),
    "port_taken": ("127.0.0.1:{port} is taken by another program", "127.0.0.1:{port} 被其他程序占用"),
    "tls_good": ("{target} answers; its certificate holds until {day}", "{target} 可达；其证书有效至 {day}"),
    "tls_insecure": ("{target} answers, without TLS", "{target} 可达，但没有 TLS"),
    "tcp_bad": ("{target} cannot be reached: {why}", "无法连接 {target}：{why}"),
    "tls_bad": ("{target} answers, but is not believed: {why}", "{target} 可达，但证书不被信任：{why}"),
    "node_runs": ("runs", "正在运行"),
    "node_paused": ("runs, and is paused", "正在运行，已暂停"),
    "node_sick": ("runs, but a process is down: {parts}", "正在运行，但有进程停止：{parts}"),
    "node_stopped": ("does not run", "未运行"),
}

TO_DO: Mapping[str, tuple[str, str]] = {
    "home_open": ("chmod 700 the folder and 600 the file", "对目录执行 chmod 700，对文件执行 chmod 600"),
    "home_missing": ("fedvalue site init", "运行 fedvalue site init"),
    "settings_bad": ("mend it; docs/operations.md lists every key", "请修正；各项见 docs/operations.md"),
    "versions_bad": ("install FedValue again with its constraints", "按约束文件重新安装 FedValue"),
    "memory_little": ("give the machine or container 2 GiB or more", "请为机器或容器提供 2 GiB 以上"),
    "memory_unknown": ("look yourself: 2 GiB are needed", "请自行确认：需要 2 GiB"),
    "disk_little": ("free 5 GiB; a full disk stops every answer", "请腾出 5 GiB；磁盘满则停止应答"),
    "disk_unknown": ("mend the disk or its rights", "请修复磁盘或权限"),
    "not_encrypted": (
        "encrypt it (LUKS), or note who encrypts the storage below",
        "请加密（LUKS），或记录由谁加密底层存储",
    ),
    "encryption_unknown": ("ask who runs the storage, and note the answer", "请询问存储管理方并记录"),
    "server_bad": (
        "try the dsn of records.toml with psql; it wants TLS unless the server is here",
        "请用 psql 试连 records.toml 中的 dsn；非本机服务器须用 TLS",
    ),
    "server_forgets": ("turn fsync on: a crash may lose a load", "请开启 fsync：崩溃可能丢失一次载入"),
    "server_schema_open": (
        "REVOKE ALL ON SCHEMA ... FROM PUBLIC",
        "执行 REVOKE ALL ON SCHEMA ... FROM PUBLIC",
    ),
    "records_left": ("delete it once `fedvalue site load` has filled the server", "载入服务器后请删除"),
    "server_disk": ("ask who runs the server, and note the answer", "请询问服务器管理方并记录"),
    "clock_free": ("turn on chrony or systemd-timesyncd", "请启用 chrony 或 systemd-timesyncd"),
    "clock_off": (
        "set the clock; papers are refused beyond five minutes",
        "请校正时钟；超过五分钟将拒绝证书",
    ),
    "papers_soon": ("{do}", "处理：{do}"),
    "papers_bad": ("fedvalue site papers shows more", "运行 fedvalue site papers 查看详情"),
    "key_missing": (
        "fedvalue site enrol, or name it in serve.toml",
        "运行 fedvalue site enrol，或写入 serve.toml",
    ),
    "key_open": ("chmod 600 it", "执行 chmod 600"),
    "no_superlink": ("fedvalue site enrol, when you join a federation", "加入联盟时运行 fedvalue site enrol"),
    "dns_bad": (
        "ask your network people; the coordinator names the host",
        "请联系网络管理员；主机名由协调方提供",
    ),
    "proxy_bad": ("ask your network people to allow CONNECT to it", "请网络管理员放行 CONNECT"),
    "port_taken": ("set port under [flower] in serve.toml", "在 serve.toml 的 [flower] 中设置 port"),
    "tls_insecure": (
        "leave unsafe_insecure out: it is for one machine",
        "删除 unsafe_insecure：仅供单机使用",
    ),
    "tcp_bad": ("allow this machine to dial out to it, or set a proxy", "请放行本机向外连接，或设置代理"),
    "tls_bad": ("ask the coordinator; never turn the check off", "请联系协调方；切勿关闭校验"),
    "node_paused": ("fedvalue site resume, when your people say so", "经本院同意后运行 fedvalue site resume"),
    "node_sick": ("fedvalue site status, and logs/site.log", "查看 fedvalue site status 与 logs/site.log"),
    "node_stopped": ("fedvalue site serve", "运行 fedvalue site serve"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One finding.

    Attributes:
      check: Key of `CHECKS`.
      verdict: Whether the site can work.
      found: Key of `WORDS`, and of `TO_DO` where something is to be done.
      values: What the words name; nothing of a patient.
    """

    check: str
    verdict: Verdict
    found: str
    values: Mapping[str, str] = field(default_factory=dict)

    def facts(self, language: Language = "en") -> dict[str, str]:
        """Return the line for programs: ``check``, ``verdict``, ``found`` and ``do`` in words, ``code``."""
        number = 0 if language == "en" else 1
        found = WORDS[self.found][number].format(**self.values)
        wanted = self.found in TO_DO and self.verdict != "pass"
        do = TO_DO[self.found][number].format(**self.values) if wanted else ""
        return {"check": self.check, "verdict": self.verdict, "code": self.found, "found": found, "do": do}

    def text(self, language: Language = "en") -> str:
        """Return the line for people."""
        number = 0 if language == "en" else 1
        facts = self.facts(language)
        do = f" -> {facts['do']}" if facts["do"] else ""
        return f"{SHOWN[language][self.verdict]:<4}  {CHECKS[self.check][number]}: {facts['found']}{do}"
