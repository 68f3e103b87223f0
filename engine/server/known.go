package server

import (
	"fmt"
	"time"
)

// tooManyMemory is how long health stays red after a gateway was refused because too many
// are known.
const tooManyMemory = time.Hour

// gatewayReasons says that gateways are refused because too many are known.
func (s *Server) gatewayReasons(now time.Time) []string {
	if s.ingest == nil {
		return nil
	}
	at := s.ingest.Stats().RefusedGatewayAt
	if at == 0 || now.Sub(time.UnixMicro(int64(at))) >= tooManyMemory {
		return nil
	}
	return []string{fmt.Sprintf("%d gateways are known, as many as limits.gateways allows: nothing is taken of a new one, as at %s",
		s.cfg.Limits.Gateways, text(at))}
}
