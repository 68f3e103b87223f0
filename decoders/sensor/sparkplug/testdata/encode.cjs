// Prints messages of a Sparkplug B session, encoded by the npm package
// sparkplug-payload: a line each, topic, blank, payload in hexadecimal.
const { get } = require("sparkplug-payload");
const Long = require("long");
const b = get("spBv1.0");
const at = 1700000000123;
let seq = 0;
const say = (topic, payload) => console.log(topic, Buffer.from(b.encodePayload(payload)).toString("hex"));
const number = () => seq++ % 256;
say("spBv1.0/plant/NBIRTH/gw7", { timestamp: at, seq: number(), metrics: [
  { name: "bdSeq", type: "UInt64", value: Long.fromNumber(4) },
  { name: "Node Control/Rebirth", type: "Boolean", value: false },
  { name: "uptime", alias: 1, type: "UInt32", value: 4000000000, timestamp: at },
  { name: "load", alias: 2, type: "Double", value: 0.75, timestamp: at, properties: { engUnit: { type: "String", value: "%" }, Quality: { type: "Int32", value: 192 } } },
] });
say("spBv1.0/plant/DBIRTH/gw7/pump", { timestamp: at, seq: number(), metrics: [
  { name: "temperature", alias: 10, type: "Float", value: 21.5, timestamp: at, properties: { engUnit: { type: "String", value: "Cel" } } },
  { name: "offset", alias: 11, type: "Int16", value: -300, timestamp: at },
  { name: "running", alias: 12, type: "Boolean", value: true, timestamp: at },
  { name: "state", alias: 13, type: "String", value: "auto", timestamp: at },
  { name: "serviced", alias: 14, type: "DateTime", value: 1600000000000, timestamp: at },
  { name: "total", alias: 15, type: "Int64", value: Long.fromNumber(-5), timestamp: at },
] });
say("spBv1.0/plant/DDATA/gw7/pump", { timestamp: at + 1000, seq: number(), metrics: [
  { alias: 10, type: "Float", value: 22.5, timestamp: at + 1000 },
  { alias: 11, type: "Int16", value: -301, timestamp: at + 500, isHistorical: true },
  { alias: 13, type: "String", value: null, isNull: true, timestamp: at + 1000 },
] });
seq += 3;
say("spBv1.0/plant/NDATA/gw7", { timestamp: at + 2000, seq: number(), metrics: [{ alias: 2, type: "Double", value: 0.5, timestamp: at + 2000 }] });
say("spBv1.0/plant/DDATA/gw7/pump", { timestamp: at + 2000, seq: number(), metrics: [{ alias: 99, type: "Float", value: 1 }] });
say("spBv1.0/plant/DDEATH/gw7/pump", { timestamp: at + 3000, seq: number() });
say("spBv1.0/plant/DDATA/gw7/pump", { timestamp: at + 3000, seq: number(), metrics: [{ alias: 10, type: "Float", value: 1 }] });
say("spBv1.0/plant/NDEATH/gw7", { timestamp: at + 4000, metrics: [{ name: "bdSeq", type: "UInt64", value: Long.fromNumber(3) }] });
say("spBv1.0/plant/NDEATH/gw7", { timestamp: at + 4000, metrics: [{ name: "bdSeq", type: "UInt64", value: Long.fromNumber(4) }] });
say("spBv1.0/plant/NDATA/gw7", { timestamp: at + 5000, seq: 0, metrics: [{ alias: 2, type: "Double", value: 0.5 }] });
