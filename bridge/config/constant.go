package config

import "reflect"

// normalConstant returns a value of request.set in the types that decoding YAML gives: nil, a string, a
// bool, an int64, a uint64, a float64, or a []any or map[string]any of those. A Config filled in Go may
// have any types of those kinds. For other values, and for values nested deeper than a file may, ok is
// false and the value is unchanged.
func normalConstant(value any) (normal any, ok bool) {
	if normal, ok = normalValue(reflect.ValueOf(value), 0); ok {
		return normal, true
	}
	return value, false
}

func normalValue(v reflect.Value, depth int) (any, bool) {
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch {
	case depth > maxDepth: // a map may contain itself
		return nil, false
	case !v.IsValid():
		return nil, true
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			item, ok := normalValue(v.Index(i), depth+1)
			if !ok {
				return nil, false
			}
			list[i] = item
		}
		return list, true
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		mapping := make(map[string]any, v.Len())
		for key, value := range v.Seq2() {
			item, ok := normalValue(value, depth+1)
			if !ok {
				return nil, false
			}
			mapping[key.String()] = item
		}
		return mapping, true
	case v.Kind() == reflect.String:
		return v.String(), true
	case v.Kind() == reflect.Bool:
		return v.Bool(), true
	case v.CanInt():
		return v.Int(), true
	case v.CanUint():
		return v.Uint(), true
	case v.CanFloat():
		return v.Float(), true
	default:
		return nil, false
	}
}
