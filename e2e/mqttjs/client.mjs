// A client of the tests: it subscribes, publishes to itself, and prints what comes, a line of JSON for each step.
//
//   node client.mjs URL VERSION TOPIC SIZE CA CERT KEY [ALPN]
import { readFileSync } from 'node:fs'
import mqtt from 'mqtt'

const [url, version, topic, size, ca, cert, key, alpn] = process.argv.slice(2)
const say = (step, details) => console.log(JSON.stringify({ step, ...details }))
const level = { '3.1': 3, '3.1.1': 4, '5.0': 5 }[version]

const client = mqtt.connect(url, {
  protocolVersion: level,
  protocolId: level === 3 ? 'MQIsdp' : 'MQTT',
  wsOptions: { protocol: level === 3 ? 'mqttv3.1' : 'mqtt', ALPNProtocols: alpn ? [alpn] : undefined },
  clientId: topic,
  username: 'impostor',
  reconnectPeriod: 0,
  ca: readFileSync(ca),
  cert: readFileSync(cert),
  key: readFileSync(key),
})
client.on('error', (error) => {
  say('error', { message: error.message, code: error.code })
  process.exit(1)
})
client.on('disconnect', (packet) => say('disconnect', { code: packet.reasonCode }))
client.on('close', () => say('close'))
client.on('message', (_, payload) => {
  say('message', { size: payload.length, text: payload.toString().slice(0, 20) })
  if (payload.length !== 0) client.publish(topic, '', { qos: 2 })
})
client.on('connect', () => {
  say('connect')
  client.subscribe(topic, { qos: 2 }, (error, granted) => {
    if (error) throw error
    say('subscribe', { qos: granted[0].qos })
    client.publish(topic, 'x'.repeat(Number(size)), { qos: 1 })
  })
})
