package replay

import (
	"context"
	"errors"
	"io"

	"landfall/edge/record"
	"landfall/engine/landing"
)

// Land appends what a Reader gives to another landing log, as a gateway's
// request would: from an offset that is acknowledged, a block only after the
// one before it is durable (C2), the same block again when it was not, until
// again, which is told why and may wait, says false. So the order and the
// conflict rule of the engine hold for the file's log as for a gateway's, also
// when several do this at once, or one was killed and begins anew. landed is
// told of each block.
//
// It gives the offset behind the last block, and that from which the Reader
// began when there was none. Errors: those of the Reader, and of Append.
func Land(ctx context.Context, r *Reader, to landing.Log, again func(error) bool, landed func(records uint32)) (end record.Offset, err error) {
	end = r.from
	for {
		block, _, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		h, err := record.ParseHeader(block.Block)
		if err != nil {
			return end, err
		}
		for err = to.Append(ctx, block); err != nil; err = to.Append(ctx, block) {
			if ctx.Err() != nil || !again(err) {
				return end, err
			}
		}
		end = h.End()
		landed(h.Count)
	}
}
