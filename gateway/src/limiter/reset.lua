-- Forgets what a key has used of a limit, and has every gateway forget whom it refuses by itself:
-- both or neither.
--
-- KEYS[1] the log, KEYS[2] the generation of the rules
redis.call('DEL', KEYS[1])
return redis.call('INCR', KEYS[2])
